using System.Diagnostics;

namespace Cnvm.Vmm.Migration;

/// <summary>
/// Somebody wants a migration to end: the reason, and an event to wait for. The first reason stands. The end of this VMM, or of its guest, is
/// more than a wish: it also ends what a guest that has moved still needs from here. Any thread.
/// </summary>
internal sealed class MigrationStop
{
    // Waited on, so a plain object.
    private readonly object _gate = new();
    private string? _reason;
    private bool _isEnding;

    /// <summary>Null while nobody wants it.</summary>
    public string? Reason => Volatile.Read(ref _reason);

    public bool IsAsked => Reason is not null;

    /// <summary>What is kept here is about to go.</summary>
    public bool IsEnding => Volatile.Read(ref _isEnding);

    public void Ask(string reason)
    {
        lock (_gate)
        {
            _reason ??= reason;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>What is kept here is about to go: for good.</summary>
    public void End(string reason)
    {
        lock (_gate)
        {
            _isEnding = true;
            Ask(reason);
        }
    }

    /// <summary>Nobody wants it any more, unless it is the end.</summary>
    public void Withdraw()
    {
        lock (_gate)
        {
            _reason = _isEnding ? _reason : null;
        }
    }

    /// <summary>Waits until somebody wants it; false after the time.</summary>
    public bool Wait(TimeSpan time) => Wait(time, onlyEnd: false);

    /// <summary>Waits for <see cref="End"/>; false after the time.</summary>
    public bool WaitForEnd(TimeSpan time) => Wait(time, onlyEnd: true);

    private bool Wait(TimeSpan time, bool onlyEnd)
    {
        long started = Stopwatch.GetTimestamp();
        lock (_gate)
        {
            for (TimeSpan left = time; onlyEnd ? !_isEnding : _reason is null; left = time - Stopwatch.GetElapsedTime(started))
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
