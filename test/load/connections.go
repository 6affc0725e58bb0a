package main

import "context"

func connections(context.Context, options) error { return nil }
