"""The local web app: a page a wing, over the same calls as the command line; nothing leaves this computer."""
