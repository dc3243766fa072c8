namespace Cnvm.Vmm;

/// <summary>A machine cannot be built as configured; the message names the part, the reason and what to do.</summary>
public sealed class MachineBuildException : Exception
{
    public MachineBuildException(string message)
        : base(message)
    {
    }

    public MachineBuildException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
