"""Two versions of a model beside each other, from stored scores and people's judgements. Nothing changes."""
