"""Learning curves: scores over the number of training events, crossings and power laws, as table, figures and page."""
