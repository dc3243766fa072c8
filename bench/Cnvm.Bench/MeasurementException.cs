namespace Cnvm.Bench;

/// <summary>A measurement that should have worked did not: the message says which and shows the program's last words.</summary>
internal sealed class MeasurementException : Exception
{
    public MeasurementException(string message)
        : base(message)
    {
    }

    public MeasurementException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
