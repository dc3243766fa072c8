namespace Cnvm.Vmm.Config;

/// <summary>Which threads may share a physical core's hardware threads with a vCPU.</summary>
public enum CoreScheduling
{
    Vm,
    Vcpu,
    Off,
}
