using System.Diagnostics;

namespace Cnvm.Vmm;

/// <summary>
/// The latest events, numbered from 1 in the order in which they happened, for clients that ask for them. Safe for all threads.
/// </summary>
/// <param name="started">Timestamp (<see cref="Stopwatch.GetTimestamp"/>) that events are dated from.</param>
public sealed class EventHistory(long started)
{
    /// <summary>How many events are kept; of older ones only the number is known.</summary>
    public const int Capacity = 256;

    private readonly Lock _lock = new();
    private readonly Queue<RecordedEvent> _events = new();
    private ulong _last;

    /// <summary>Raised after each event, on the thread that it happened on; must not block.</summary>
    public event Action? Added;

    /// <summary>Number of the latest event; 0 before the first.</summary>
    public ulong Last
    {
        get
        {
            lock (_lock)
            {
                return _last;
            }
        }
    }

    /// <summary>The kept events behind a number, oldest first.</summary>
    public IReadOnlyList<RecordedEvent> After(ulong number)
    {
        lock (_lock)
        {
            return [.. _events.Where(e => e.Number > number)];
        }
    }

    /// <summary>Records an event; for who implements <see cref="IVmm"/>.</summary>
    public void Add(VmmEvent happened)
    {
        lock (_lock)
        {
            _events.Enqueue(new RecordedEvent(++_last, Stopwatch.GetElapsedTime(started), happened));
            if (_events.Count > Capacity)
            {
                _events.Dequeue();
            }
        }

        Added?.Invoke();
    }
}
