using System.Diagnostics;

namespace Cnvm.Vmm.Migration;

/// <summary>Somebody wants a migration to end: the reason, and an event to wait for. The first reason stands. Any thread.</summary>
internal sealed class MigrationStop
{
    // Waited on, so a plain object.
    private readonly object _gate = new();
    private string? _reason;

    /// <summary>Null while nobody wants it.</summary>
    public string? Reason => Volatile.Read(ref _reason);

    public bool IsAsked => Reason is not null;

    public void Ask(string reason)
    {
        lock (_gate)
        {
            _reason ??= reason;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Waits for it; false after the time.</summary>
    public bool Wait(TimeSpan time)
    {
        long started = Stopwatch.GetTimestamp();
        lock (_gate)
        {
            for (TimeSpan left = time; _reason is null; left = time - Stopwatch.GetElapsedTime(started))
            {
                if (left <= TimeSpan.Zero)
                {
                    return false;
                }

                Monitor.Wait(_gate, left);
            }

            return true;
        }
    }
}
