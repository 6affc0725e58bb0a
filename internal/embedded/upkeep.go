package embedded

type upkeep struct{}

func (u *upkeep) stop() {}
