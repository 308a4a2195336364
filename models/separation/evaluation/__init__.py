"""How good a separation is: metrics, scores, songs with known stems."""
