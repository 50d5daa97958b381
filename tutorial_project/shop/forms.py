"""What visitors may send, and within which bounds."""

from __future__ import annotations

from decimal import Decimal

from django import forms

from .models import Product
from .rates import CURRENCIES

MOST_OF_ONE = 99


class ReviewForm(forms.Form):
    """One to five stars, and a text if you like."""

    rating = forms.IntegerField(min_value=1, max_value=5)
    text = forms.CharField(required=False, max_length=2000)


class PriceForm(forms.Form):
    """A new price in euros."""

    price = forms.DecimalField(min_value=Decimal("0.01"), max_digits=8, decimal_places=2)


class CartForm(forms.Form):
    """So many of one product; one where no quantity is given, none to take it out of the cart."""

    product = forms.ModelChoiceField(Product.objects.all())
    quantity = forms.IntegerField(min_value=0, max_value=MOST_OF_ONE, required=False)

    def clean_quantity(self) -> int:
        """The quantity, one where none was sent."""
        quantity = self.cleaned_data["quantity"]
        return 1 if quantity is None else int(quantity)


class CurrencyForm(forms.Form):
    """One of the currencies that the shop shows prices in."""

    currency = forms.ChoiceField(choices=[(currency, currency) for currency in CURRENCIES])


class SearchForm(forms.Form):
    """A few words; Django's field refuses what a database cannot search for, such as a NUL character."""

    q = forms.CharField(required=False, max_length=200)
