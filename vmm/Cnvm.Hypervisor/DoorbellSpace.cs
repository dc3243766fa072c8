namespace Cnvm.Hypervisor;

/// <summary>Address space of a doorbell.</summary>
public enum DoorbellSpace
{
    Memory,
    Port,
}
