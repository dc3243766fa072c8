namespace Cnvm.Hypervisor.Memory;

/// <summary>Where somebody outside of this process finds what devices here have written. Any thread.</summary>
public interface IWriteMarks
{
    /// <summary>Marks every page that the range touches; a range beyond what can be marked is ignored.</summary>
    void Mark(ulong gpa, ulong length);
}
