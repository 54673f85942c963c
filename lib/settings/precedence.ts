/** The order of precedence of flag, file, environment and service account, in one sentence. */

/** Printed in help and documents. */
export const PRECEDENCE = "a flag counts before a configuration file, the file before the " +
  "environment, and the environment before the service account of a pod.";
