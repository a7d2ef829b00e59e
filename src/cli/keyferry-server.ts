#!/usr/bin/env node
/** The program keyferry-server: see serve.ts. */
import { runServer } from './serve.js'

// Not a top-level await: the program is also bundled as CommonJS, which starts faster.
void runServer(process.argv.slice(2)).then(status => {
  if (status !== undefined) process.exit(status)
})
