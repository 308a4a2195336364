"""Training the beat tracker."""
