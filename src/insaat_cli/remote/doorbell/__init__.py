"""Wake-up messages over SQS; the queue works without them."""
