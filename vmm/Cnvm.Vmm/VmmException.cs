namespace Cnvm.Vmm;

/// <summary>
/// A request was not carried out. The message says what failed and what to do; inner exceptions give the reasons in order, and the
/// messages of the whole chain are what a client or a person on the terminal sees.
/// </summary>
public class VmmException : Exception
{
    public VmmException(VmmErrorKind kind, string message)
        : base(message) => Kind = kind;

    public VmmException(VmmErrorKind kind, string message, Exception inner)
        : base(message, inner) => Kind = kind;

    /// <summary>Whose fault it is.</summary>
    public VmmErrorKind Kind { get; }

    /// <summary>The call needs a VM, and none was created.</summary>
    public static VmmException NotCreated() =>
        new(VmmErrorKind.NotFound, "No VM has been created: send vm.create first");

    /// <summary>The call needs a booted VM; the contract has no status of its own for that.</summary>
    public static VmmException NotBooted() =>
        new(VmmErrorKind.Internal, "The VM is not running: send vm.boot first");

    /// <summary>The contract has this ability, cnvm does not have it yet.</summary>
    /// <param name="what">The endpoint or ability, for example <c>vm.snapshot</c>.</param>
    public static VmmException NotSupported(string what) =>
        new(VmmErrorKind.Internal, $"{what} is not supported yet by cnvm");
}
