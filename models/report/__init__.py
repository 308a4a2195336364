"""One page that shows a remix and measures it: measure and draw, then write the page."""
