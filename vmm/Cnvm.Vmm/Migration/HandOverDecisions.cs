namespace Cnvm.Vmm.Migration;

/// <summary>
/// How migrations to this process ended, by session. A source that lost the connection at the worst moment asks, and whoever comes first,
/// the order to run or the question, decides once and for all. Any thread.
/// </summary>
internal sealed class HandOverDecisions
{
    private const int MostRemembered = 64;
    private readonly Lock _gate = new();
    private readonly Dictionary<string, HandOverDecision> _decisions = new(StringComparer.Ordinal);
    private readonly Queue<string> _order = new();

    /// <summary>The guest is complete here and waits for the order to run.</summary>
    public void Open(byte[] session)
    {
        lock (_gate)
        {
            string key = Convert.ToHexString(session);
            if (_decisions.TryAdd(key, HandOverDecision.Open))
            {
                _order.Enqueue(key);
                while (_order.Count > MostRemembered)
                {
                    _decisions.Remove(_order.Dequeue());
                }
            }
        }
    }

    /// <summary>Takes the order to run; false if it has been decided that the guest never runs here.</summary>
    public bool TryStart(byte[] session)
    {
        lock (_gate)
        {
            string key = Convert.ToHexString(session);
            bool isOpen = _decisions.GetValueOrDefault(key) == HandOverDecision.Open;
            if (isOpen)
            {
                _decisions[key] = HandOverDecision.Starting;
            }

            return isOpen;
        }
    }

    /// <summary>The start succeeded, or the guest is gone from here. Who has run here is never given back: a source may have been told.</summary>
    public void Close(byte[] session, bool isRunning)
    {
        lock (_gate)
        {
            string key = Convert.ToHexString(session);
            if (_decisions.TryGetValue(key, out HandOverDecision decision) && decision != HandOverDecision.Running)
            {
                _decisions[key] = isRunning ? HandOverDecision.Running : HandOverDecision.Discarded;
            }
        }
    }

    /// <summary>Answers a source's question. While the order to run has not come, the question itself decides that it comes too late.</summary>
    public HandOverDecision Ask(byte[] session)
    {
        lock (_gate)
        {
            string key = Convert.ToHexString(session);
            HandOverDecision decision = _decisions.GetValueOrDefault(key);
            if (decision == HandOverDecision.Open)
            {
                _decisions[key] = decision = HandOverDecision.Discarded;
            }

            return decision;
        }
    }
}
