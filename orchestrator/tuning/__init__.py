"""What engineers set by hand: thresholds and priorities, with a look at what a change would do first."""
