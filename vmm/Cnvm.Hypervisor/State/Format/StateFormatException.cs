namespace Cnvm.Hypervisor.State.Format;

/// <summary>Bytes that are no state, a damaged one, or one with parts that this program does not know; the message names the part.</summary>
public sealed class StateFormatException : Exception
{
    public StateFormatException(string message)
        : base(message)
    {
    }
}
