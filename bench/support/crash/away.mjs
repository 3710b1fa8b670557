/** Tells that nobody answers now, or cannot say (its store is away), from an answer that is an error. */
export const isAway = (error) =>
  error instanceof TypeError || error.name === 'TimeoutError' || / 503 /u.test(error.message);
