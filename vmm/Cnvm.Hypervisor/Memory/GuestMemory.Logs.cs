namespace Cnvm.Hypervisor.Memory;

/// <content>Recording of what devices write.</content>
public sealed unsafe partial class GuestMemory
{
    private readonly Lock _logGate = new();
    private readonly List<IDeviceWriteLog> _logs = [];

    /// <summary>Begins to record device writes. The hypervisor's log is started by whoever owns the partition.</summary>
    /// <exception cref="IOException">A device cannot log; nothing is recorded.</exception>
    public void StartDirtyTracking()
    {
        lock (_logGate)
        {
            if (_deviceWrites is not null)
            {
                return;
            }

            Volatile.Write(ref _deviceWrites, new DirtyBitmap(Regions));
            int started = 0;
            try
            {
                for (; started < _logs.Count; started++)
                {
                    _logs[started].Start();
                }
            }
            catch
            {
                Volatile.Write(ref _deviceWrites, null);
                _logs.Take(started).ToList().ForEach(l => l.Stop());
                throw;
            }
        }
    }

    /// <summary>Moves the device writes recorded so far into <paramref name="into"/>.</summary>
    public void CollectDeviceWrites(DirtyBitmap into)
    {
        ArgumentNullException.ThrowIfNull(into);
        lock (_logGate)
        {
            if (_deviceWrites is { } writes)
            {
                into.TakeFrom(writes);
                foreach (IDeviceWriteLog log in _logs)
                {
                    log.Collect(into);
                }
            }
        }
    }

    public void StopDirtyTracking()
    {
        lock (_logGate)
        {
            if (_deviceWrites is not null)
            {
                Volatile.Write(ref _deviceWrites, null);
                _logs.ForEach(l => l.Stop());
            }
        }
    }

    /// <summary>A device that logs elsewhere has come.</summary>
    /// <exception cref="IOException">Writes are being recorded, and it cannot do that.</exception>
    public void AddWriteLog(IDeviceWriteLog log)
    {
        ArgumentNullException.ThrowIfNull(log);
        lock (_logGate)
        {
            if (_deviceWrites is not null)
            {
                log.Start();
            }

            _logs.Add(log);
        }
    }

    /// <summary>It goes; what it has logged so far counts.</summary>
    public void RemoveWriteLog(IDeviceWriteLog log)
    {
        ArgumentNullException.ThrowIfNull(log);
        lock (_logGate)
        {
            if (_logs.Remove(log) && _deviceWrites is { } writes)
            {
                log.Collect(writes);
            }
        }
    }
}
