"""Learning curves: scores versus number of training events, crossovers and power laws, as table, figures and page."""
