from emscout.cli import main

main()
