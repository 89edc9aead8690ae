"""`cosmos_train report`: training runs compared, in one HTML file."""
