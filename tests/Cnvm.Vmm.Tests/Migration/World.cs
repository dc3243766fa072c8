namespace Cnvm.Vmm.Tests.Migration;

/// <summary>Knows where a guest runs, and that it never runs at two places.</summary>
internal sealed class World
{
    private readonly Lock _gate = new();
    private readonly HashSet<string> _running = [];
    private string? _violation;

    /// <summary>Sides at which the guest runs now.</summary>
    public string Running
    {
        get
        {
            lock (_gate)
            {
                return _violation ?? string.Join(" and ", _running);
            }
        }
    }

    public void Start(string side)
    {
        lock (_gate)
        {
            _running.Add(side);
            if (_running.Count > 1)
            {
                _violation = "it ran at both sides at once";
            }
        }
    }

    public void Stop(string side)
    {
        lock (_gate)
        {
            _running.Remove(side);
        }
    }
}
