"""Makers of the assets, from the packages they stem from; nothing here is needed to use them."""
