using Cnvm.Virtio;
using Cnvm.Virtio.Transport;

namespace Cnvm.Vmm.Platform;

/// <summary>A virtio device with its transport, whichever kind the machine has.</summary>
internal sealed class VirtioSlot : IDisposable
{
    private readonly VirtioPciFunction? _pci;
    private readonly VirtioMmioTransport? _mmio;

    public VirtioSlot(VirtioPciFunction pci) => _pci = pci;

    public VirtioSlot(VirtioMmioTransport mmio) => _mmio = mmio;

    public VirtioDevice Device => _pci?.Device ?? _mmio!.Device;

    /// <summary>Stops the queues; requests in flight are finished first. No vCPU runs.</summary>
    public void Pause()
    {
        _pci?.Pause();
        _mmio?.Pause();
    }

    public void Resume()
    {
        _pci?.Resume();
        _mmio?.Resume();
    }

    public void Dispose()
    {
        _pci?.Dispose();
        _mmio?.Dispose();
    }
}
