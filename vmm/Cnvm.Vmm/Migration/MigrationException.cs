namespace Cnvm.Vmm.Migration;

/// <summary>A migration cannot go on; the message says why and, if the reason lies with the other side, that it does.</summary>
public sealed class MigrationException : Exception
{
    public MigrationException(string message)
        : base(message)
    {
    }

    public MigrationException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
