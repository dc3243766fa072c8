namespace Cnvm.Vmm.Migration;

/// <summary>Somebody wants a migration to end: the reason, and an event to wait for. The first reason stands. Any thread.</summary>
internal sealed class MigrationStop
{
    private readonly ManualResetEventSlim _asked = new(false);
    private string? _reason;

    /// <summary>Null while nobody wants it.</summary>
    public string? Reason => Volatile.Read(ref _reason);

    public bool IsAsked => Reason is not null;

    public void Ask(string reason)
    {
        Interlocked.CompareExchange(ref _reason, reason, null);
        _asked.Set();
    }

    /// <summary>Waits for it; false after the time.</summary>
    public bool Wait(TimeSpan time) => _asked.Wait(time);
}
