// Looks each argument up by Go's own resolver, and prints how long each took in µs.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"
)

func main() {
	resolver := net.Resolver{PreferGo: true}
	for _, name := range os.Args[1:] {
		begun := time.Now()
		_, err := resolver.LookupHost(context.Background(), name)
		told := "found"
		if err != nil {
			told = err.Error()
		}
		fmt.Println(time.Since(begun).Microseconds(), told)
	}
}
