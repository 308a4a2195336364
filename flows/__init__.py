"""One file a deployment; a flow reads like a sentence."""
