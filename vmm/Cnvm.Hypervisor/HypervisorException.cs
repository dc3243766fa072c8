namespace Cnvm.Hypervisor;

/// <summary>The hypervisor or the host refused something; the message says what, why and what to do.</summary>
public class HypervisorException : Exception
{
    public HypervisorException(string message)
        : base(message)
    {
    }

    public HypervisorException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
