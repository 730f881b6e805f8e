"""The default library: reading notes on Mixture-of-Experts papers, shipped as package data; holds no code and imports nothing."""
