namespace Cnvm.Vmm.Config;

/// <summary>The CPU model shown to the guest.</summary>
public enum CpuProfile
{
    Host,
}
