/** The part of respjs that we use; the package has no types of its own. */
declare module 'respjs' {
  const resp: { encodeRequest(words: readonly Buffer[]): Buffer }
  export default resp
}
