// Package faktory speaks with a Faktory server: where it is, connections to it with bounded commands, and a pool of
// them. It knows the commands and nothing of what the jobs are about.
//
// It stands on the client of github.com/contribsys/faktory, which does the handshake, the framing and the types of a job
// that is pushed. The worker library faktory_worker_go serves nothing here: it owns the process's signals, ends the process
// and acknowledges by itself, and here core decides all three. Of the client, commands go through Generic, because
// its own methods wait for five seconds whatever is asked, take no context, and lose the digits of large numbers when they
// read a job.
package faktory
