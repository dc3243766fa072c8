using Cnvm.Linux;

namespace Cnvm.Virtio.Fs;

/// <summary>All waits for locks of a device. Any thread.</summary>
internal sealed class FsLockWaits
{
    /// <summary>Each is a thread.</summary>
    public const int Most = 128;

    private readonly Lock _lock = new();
    private readonly List<FsLockWait> _waits = [];

    /// <summary>Starts a wait. False: there are too many, or the host has no thread for it.</summary>
    public bool TryStart(FsLockWait wait, string name, EventFd ready)
    {
        lock (_lock)
        {
            if (_waits.Count == Most)
            {
                return false;
            }

            try
            {
                FileLocks.PrepareInterrupts();
                wait.Start(name, ready);
            }
            catch (Exception e) when (e is OutOfMemoryException or ThreadStartException or LinuxException)
            {
                return false;
            }

            _waits.Add(wait);
            return true;
        }
    }

    public void Remove(FsLockWait wait)
    {
        lock (_lock)
        {
            _waits.Remove(wait);
        }
    }

    /// <summary>Ends the wait of a request; its queue answers that with EINTR. Nothing happens if no such request waits.</summary>
    public void Interrupt(ulong unique)
    {
        FsLockWait? wait;
        lock (_lock)
        {
            wait = _waits.Find(w => w.Unique == unique);
        }

        wait?.Interrupt();
    }
}
