/** What --help says. Loaded only when it is asked for. */

import { KEYFERRY_VERSION } from '../config/version.js'

export const SERVER_HELP = `keyferry-server ${KEYFERRY_VERSION}: a server for Redis and Valkey clients that moves keys with MIGRATE.

Usage: keyferry-server [/path/to/redis.conf] [--directive value ...] [-]
       keyferry-server -v | --version
       keyferry-server -h | --help

A configuration file for Redis or Valkey works as it is. Every directive of the file can be
given on the command line with two minuses before its name; what comes later wins:
the file, then standard input (-), then the options.

Examples
  keyferry-server                              port 6379, everything in memory
  keyferry-server --port 0                     takes a free port and prints its URL
  keyferry-server /etc/redis/redis.conf        with the settings of your Redis
  keyferry-server --port 7777 --maxmemory 1gb --maxmemory-policy allkeys-lru
  keyferry-server /etc/redis/redis.conf --loglevel verbose
  echo 'maxmemory 128mb' | keyferry-server -   settings from standard input

Moving keys from a server that runs (here 10.0.0.5) to keyferry
  redis-cli -h 10.0.0.5 MIGRATE keyferry.host 6379 "" 0 5000 KEYS user:1 user:2
  Add COPY to leave them at the source, REPLACE to overwrite them at the target.

Directives that matter first
  port 6379              TCP port; 0 takes a free one (without a TLS port or a unix socket beside it)
  bind 127.0.0.1         addresses to listen on
  requirepass secret     password for all clients; without one only this machine may connect
  maxmemory 1gb          where eviction, or an error to writes, begins
  dir /var/lib/keyferry  folder for files; nothing is written there unless a directive asks for it
  loglevel notice        debug, verbose, notice, warning or nothing; logfile names a file for it
  daemonize yes          runs in the background; pidfile names a file for the process id

redis-cli CONFIG GET '*' lists every directive of a server that runs, CONFIG SET changes most of them.

The server ends with status 0 after SIGTERM, SIGINT or SHUTDOWN; with 1 after a bad directive (the line
is printed) or when it cannot listen.
`

export const UMBRELLA_HELP = `keyferry ${KEYFERRY_VERSION}: moves keys between Redis, Valkey and keyferry.

Usage: keyferry <verb> [...]

  keyferry server [redis.conf] [--directive value ...]   runs a server; keyferry server --help tells more
  keyferry migrate SOURCE DESTINATION                    copies a store into another; keyferry migrate --help
  keyferry etcd-migrate --data-dir DIR --endpoints URL   etcd's v2 keys into v3; keyferry etcd-migrate --help
  keyferry ping [host:port | url]                        asks a server for PONG (127.0.0.1:6379)
  keyferry demo                                          two servers, keys of all types, moved and compared
  keyferry --version
  keyferry --help

A url is redis://[user:password@]host:port, rediss:// for TLS, or unix:///path/to/socket.
`
