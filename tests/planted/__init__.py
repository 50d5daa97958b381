"""A Django project full of planted leaks, and of pages that look like leaks and are none. The audit must tell them."""
