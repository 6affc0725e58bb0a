package main

import "context"

func endurance(context.Context, options) error { return nil }
