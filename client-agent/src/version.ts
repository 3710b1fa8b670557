/** The version of this program; a spec compares it with package.json. */
export const agentVersion = '0.1.0';
