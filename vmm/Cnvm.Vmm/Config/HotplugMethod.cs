namespace Cnvm.Vmm.Config;

/// <summary>How memory is added to a running guest.</summary>
public enum HotplugMethod
{
    Acpi,
    VirtioMem,
}
