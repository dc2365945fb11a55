"""What SMA charges: the price list, PU by month, invoices, a forecast, and SMA's own invoices against all of it."""

from pipeline.billing.prices import Invoicing, Price, PriceList, load_prices

__all__ = ["Invoicing", "Price", "PriceList", "load_prices"]
