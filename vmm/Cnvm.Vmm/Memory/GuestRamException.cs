namespace Cnvm.Vmm.Memory;

/// <summary>The host cannot provide the guest's memory as configured.</summary>
public sealed class GuestRamException : Exception
{
    public GuestRamException(string message)
        : base(message)
    {
    }

    public GuestRamException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
