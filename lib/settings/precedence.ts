/** Which of several places counts where they say different things: the one sentence on it. */

/** Printed in help and documents. */
export const PRECEDENCE = "a flag counts before a configuration file, the file before the " +
  "environment, and the environment before the service account of a pod.";
