package httpapi

import (
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sluice/internal/stream"
)

// emptyBody is what an action without a body is asked for.
var emptyBody = []byte("{}")

// subscriptionRoutes are there in a gateway that delivers subscriptions. Whose
// they are is known to the store, which gives each caller those that are its
// own.
func (a *api) subscriptionRoutes() []route {
	own := somewhere(stream.ActionSubscribe)
	return []route{
		{http.MethodGet, "/subscriptions", known(), a.listSubscriptions},
		{http.MethodPost, "/subscriptions", own, a.createSubscription},
		{http.MethodGet, "/subscriptions/{id}", known(), a.getSubscription},
		{http.MethodPut, "/subscriptions/{id}", own, a.putSubscription},
		{http.MethodDelete, "/subscriptions/{id}", known(), a.deleteSubscription},
		{http.MethodPost, "/subscriptions/{id}/pause", known(), a.pauseSubscription},
		{http.MethodPost, "/subscriptions/{id}/resume", own, a.resumeSubscription},
		{http.MethodPost, "/subscriptions/{id}/secret", own, a.rotateSecret},
		{http.MethodPost, "/subscriptions/{id}/position", own, a.moveSubscription},
		{http.MethodPost, "/subscriptions/{id}/redrive", own, a.redriveSubscription},
		{http.MethodPost, "/subscriptions/{id}/test", own, a.testSubscription},
		{http.MethodGet, "/subscriptions/{id}/status", known(), a.subscriptionStatus},
	}
}

func (a *api) listSubscriptions(w http.ResponseWriter, r *http.Request) error {
	if err := noQuery(r); err != nil {
		return err
	}
	subs, err := a.Subscriptions.List(r.Context())
	if err != nil {
		return err
	}
	list := make([]subscriptionInfo, len(subs))
	for i, sub := range subs {
		list[i] = newSubscriptionInfo(sub, false)
	}
	return a.sendJSON(exchangeOf(w), http.StatusOK, map[string]any{"subscriptions": list})
}

func (a *api) createSubscription(w http.ResponseWriter, r *http.Request) error {
	body, err := a.readObject(exchangeOf(w), r, false)
	if err != nil {
		return err
	}
	sub, err := a.Subscriptions.Create(r.Context(), body)
	if err != nil {
		return err
	}
	return a.sendCreated(w, sub)
}

// sendCreated answers with a new subscription: this once with its secrets.
func (a *api) sendCreated(w http.ResponseWriter, sub *stream.Subscription) error {
	x := exchangeOf(w)
	x.named = sub.ID
	x.Header().Set("Location", "/subscriptions/"+sub.ID)
	return a.sendSubscription(x, http.StatusCreated, sub, true)
}

// sendSubscription answers with a subscription and its entity tag.
func (a *api) sendSubscription(x *exchange, status int, sub *stream.Subscription, secrets bool) error {
	x.Header().Set("ETag", etag(sub.Revision))
	if secrets {
		x.Header()["Cache-Control"] = headerNoStore
	}
	return a.sendJSON(x, status, newSubscriptionInfo(sub, secrets))
}

func (a *api) getSubscription(w http.ResponseWriter, r *http.Request) error {
	if err := noQuery(r); err != nil {
		return err
	}
	sub, err := a.Subscriptions.Get(r.Context(), pathParam(r, "id"))
	if err != nil {
		return err
	}
	return a.sendSubscription(exchangeOf(w), http.StatusOK, sub, false)
}

func (a *api) putSubscription(w http.ResponseWriter, r *http.Request) error {
	c, err := condition(r)
	if err != nil {
		return err
	}
	body, err := a.readObject(exchangeOf(w), r, false)
	if err != nil {
		return err
	}
	sub, created, err := a.Subscriptions.Put(r.Context(), pathParam(r, "id"), body, c)
	if err != nil {
		return err
	}
	if created {
		return a.sendCreated(w, sub)
	}
	return a.sendSubscription(exchangeOf(w), http.StatusOK, sub, false)
}

func (a *api) deleteSubscription(w http.ResponseWriter, r *http.Request) error {
	if err := noQuery(r); err != nil {
		return err
	}
	c, err := condition(r)
	if err != nil {
		return err
	}
	if err := a.Subscriptions.Delete(r.Context(), pathParam(r, "id"), c); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// action reads what all actions on a subscription have: the condition, and a
// body that may be left out. Those that take no members take an empty object.
func (a *api) action(w http.ResponseWriter, r *http.Request, members bool) (body []byte, c stream.Condition, err error) {
	if c, err = condition(r); err != nil {
		return nil, c, err
	}
	if body, err = a.readObject(exchangeOf(w), r, true); err != nil {
		return nil, c, err
	}
	if !members {
		err = bodyless(body)
	}
	return body, c, err
}

func (a *api) pauseSubscription(w http.ResponseWriter, r *http.Request) error {
	_, c, err := a.action(w, r, false)
	if err != nil {
		return err
	}
	sub, err := a.Subscriptions.Pause(r.Context(), pathParam(r, "id"), c)
	if err != nil {
		return err
	}
	return a.sendSubscription(exchangeOf(w), http.StatusOK, sub, false)
}

func (a *api) resumeSubscription(w http.ResponseWriter, r *http.Request) error {
	_, c, err := a.action(w, r, false)
	if err != nil {
		return err
	}
	sub, err := a.Subscriptions.Resume(r.Context(), pathParam(r, "id"), c)
	if err != nil {
		return err
	}
	return a.sendSubscription(exchangeOf(w), http.StatusOK, sub, false)
}

func (a *api) rotateSecret(w http.ResponseWriter, r *http.Request) error {
	body, c, err := a.action(w, r, true)
	if err != nil {
		return err
	}
	sub, err := a.Subscriptions.Rotate(r.Context(), pathParam(r, "id"), body, c)
	if err != nil {
		return err
	}
	return a.sendSubscription(exchangeOf(w), http.StatusOK, sub, true)
}

func (a *api) moveSubscription(w http.ResponseWriter, r *http.Request) error {
	body, c, err := a.action(w, r, true)
	if err != nil {
		return err
	}
	sub, err := a.Subscriptions.Move(r.Context(), pathParam(r, "id"), body, c)
	if err != nil {
		return err
	}
	return a.sendSubscription(exchangeOf(w), http.StatusOK, sub, false)
}

func (a *api) redriveSubscription(w http.ResponseWriter, r *http.Request) error {
	_, c, err := a.action(w, r, false)
	if err != nil {
		return err
	}
	sub, records, err := a.Subscriptions.Redrive(r.Context(), pathParam(r, "id"), c)
	if err != nil {
		return err
	}
	x := exchangeOf(w)
	x.Header().Set("ETag", etag(sub.Revision))
	return a.sendJSON(x, http.StatusAccepted, map[string]any{"records": records, "dead_letter": sub.DeadLetter})
}

func (a *api) testSubscription(w http.ResponseWriter, r *http.Request) error {
	body, err := a.readObject(exchangeOf(w), r, true)
	if err != nil {
		return err
	}
	if err := bodyless(body); err != nil {
		return err
	}
	attempt, err := a.Subscriptions.Test(r.Context(), pathParam(r, "id"))
	if err != nil {
		return err
	}
	return a.sendJSON(exchangeOf(w), http.StatusOK, newAttemptInfo(&attempt))
}

func (a *api) subscriptionStatus(w http.ResponseWriter, r *http.Request) error {
	if err := noQuery(r); err != nil {
		return err
	}
	status, err := a.Subscriptions.Status(r.Context(), pathParam(r, "id"))
	if err != nil {
		return err
	}
	return a.sendJSON(exchangeOf(w), http.StatusOK, newStatusInfo(&status))
}

// readObject reads a body of one JSON object, as it is. Where it may be left
// out, an empty object stands for it.
func (a *api) readObject(x *exchange, r *http.Request, optional bool) ([]byte, error) {
	if err := noQuery(r); err != nil {
		return nil, err
	}
	if optional && r.Body == http.NoBody {
		return emptyBody, nil
	}
	var body jsontext.Value
	if err := a.readJSON(x, r, &body); err != nil {
		if optional && x.received == 0 && stream.CodeOf(err) == stream.MalformedJSON {
			return emptyBody, nil // a body of unknown length that was empty; what was not read may say something
		}
		return nil, err
	}
	return body, nil
}

// bodyless refuses a body that has members.
func bodyless(body []byte) error {
	if err := json.Unmarshal(body, &struct{}{}, json.RejectUnknownMembers(true)); err != nil {
		return bodyJSONError(err)
	}
	return nil
}

// foreignGroup refuses a consumer group that belongs to a subscription.
func (a *api) foreignGroup(group string) error {
	if a.Subscriptions == nil {
		return nil
	}
	if id := a.Subscriptions.Group(group); id != "" {
		return stream.Errorf(stream.GroupInUse, "the group %q holds the offsets of the subscription %q; read in another group, or move the subscription with POST /subscriptions/%s/position", group, id, id)
	}
	return nil
}
