using Cnvm.Arch;
using Cnvm.Linux;

namespace Cnvm.Hypervisor.Kvm;

/// <summary>A programmable message; it takes a GSI and an irqfd only once somebody asks for the eventfd.</summary>
internal sealed class KvmMsiRoute(KvmInterruptController controller) : IMsiRoute
{
    private readonly Lock _lock = new();
    private Programmed? _message;
    private EventFd? _trigger;
    private int _gsi;
    private bool _disposed;

    public EventFd Trigger
    {
        get
        {
            lock (_lock)
            {
                ObjectDisposedException.ThrowIf(_disposed, this);
                return _trigger ?? Attach();
            }
        }
    }

    public void SetMessage(MsiMessage? message)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_trigger is not null)
            {
                controller.SetRoute(_gsi, message);
            }

            Volatile.Write(ref _message, message is { } m ? new Programmed(m) : null);
        }
    }

    public void Signal()
    {
        if (Volatile.Read(ref _message) is { } programmed)
        {
            controller.SignalMsi(programmed.Message);
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            Volatile.Write(ref _message, null);
            if (_trigger is not null)
            {
                controller.DetachIrqfd(_trigger, _gsi);
                _trigger.Dispose();
            }
        }
    }

    private EventFd Attach()
    {
        var trigger = new EventFd();
        try
        {
            _gsi = controller.AttachIrqfd(trigger);
            controller.SetRoute(_gsi, _message?.Message);
        }
        catch
        {
            trigger.Dispose();
            throw;
        }

        return _trigger = trigger;
    }

    /// <summary>A message that is read whole without a lock.</summary>
    private sealed record Programmed(MsiMessage Message);
}
