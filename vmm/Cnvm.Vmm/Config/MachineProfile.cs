namespace Cnvm.Vmm.Config;

/// <summary>Which machine a guest sees. An addition of cnvm's to the contract; spelled in lower case.</summary>
public enum MachineProfile
{
    /// <summary>Cloud Hypervisor's map: PCI segments with ECAM, ACPI.</summary>
    Cloud,

    /// <summary>QEMU's microvm map: virtio-mmio, PIC, PIT, RTC.</summary>
    Microvm,
}
